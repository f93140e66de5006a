# Activates this virtual environment in csh or tcsh:
#
#     source /path/to/environment/bin/activate.csh
#
# `deactivate` undoes it. The `_OLD_VIRTUAL_*` names are the ones that other tools' activation
# scripts use, so that they can leave this environment and this one can leave theirs.

# `eval` delays the expansion of a variable until it is known to exist.
alias _rvenv_leave 'if ( $?_OLD_VIRTUAL_PATH ) eval '\''setenv PATH "$_OLD_VIRTUAL_PATH:q"'\''; unset _OLD_VIRTUAL_PATH; if ( $?_OLD_VIRTUAL_PYTHONHOME ) eval '\''setenv PYTHONHOME "$_OLD_VIRTUAL_PYTHONHOME:q"'\''; unset _OLD_VIRTUAL_PYTHONHOME; if ( $?_OLD_VIRTUAL_PROMPT ) eval '\''set prompt = "$_OLD_VIRTUAL_PROMPT:q"'\''; unset _OLD_VIRTUAL_PROMPT; unsetenv VIRTUAL_ENV; unsetenv VIRTUAL_ENV_PROMPT; rehash'
alias deactivate '_rvenv_leave; unalias _rvenv_leave; unalias deactivate'

# An active environment is left first.
_rvenv_leave

setenv VIRTUAL_ENV __RVENV_DIR__
setenv VIRTUAL_ENV_PROMPT __RVENV_PROMPT__

set _OLD_VIRTUAL_PATH = "$PATH:q"
setenv PATH "$VIRTUAL_ENV:q"/__RVENV_BIN__":$PATH:q"

if ( $?PYTHONHOME ) then
    set _OLD_VIRTUAL_PYTHONHOME = "$PYTHONHOME:q"
    unsetenv PYTHONHOME
endif

# A shell that runs a script has no prompt. The nested tests keep an unset variable unread.
set _rvenv_prompt = 1
if ( $?VIRTUAL_ENV_DISABLE_PROMPT ) then
    if ( "$VIRTUAL_ENV_DISABLE_PROMPT:q" != "" ) set _rvenv_prompt = 0
endif
if ( $?prompt && $_rvenv_prompt ) then
    set _OLD_VIRTUAL_PROMPT = "$prompt:q"
    # tcsh interprets more characters of a prompt than csh does.
    if ( $?tcsh ) then
        set prompt = __RVENV_TCSH_PREFIX__"$prompt:q"
    else
        set prompt = __RVENV_CSH_PREFIX__"$prompt:q"
    endif
endif
unset _rvenv_prompt

rehash
