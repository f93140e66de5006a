# Activates this virtual environment in fish:
#
#     source /path/to/environment/bin/activate.fish
#
# `deactivate` undoes it. The `_OLD_*` names are the ones that other tools' activation scripts use,
# so that they can leave this environment and this one can leave theirs.

# An active environment is left first, by its own rules, before its function is replaced.
if set -q VIRTUAL_ENV; and functions -q deactivate
    deactivate nondestructive
end

function deactivate -d 'Leave the virtual environment'
    if set -q _OLD_VIRTUAL_PATH
        set -gx PATH $_OLD_VIRTUAL_PATH
        set -e _OLD_VIRTUAL_PATH
    end
    if set -q _OLD_VIRTUAL_PYTHONHOME
        set -gx PYTHONHOME $_OLD_VIRTUAL_PYTHONHOME
        set -e _OLD_VIRTUAL_PYTHONHOME
    end
    if set -q _OLD_FISH_PROMPT_OVERRIDE
        set -e _OLD_FISH_PROMPT_OVERRIDE
        if functions -q _old_fish_prompt
            functions -e fish_prompt
            functions -c _old_fish_prompt fish_prompt
            functions -e _old_fish_prompt
        end
        functions -e _rvenv_status
    end
    set -e VIRTUAL_ENV
    set -e VIRTUAL_ENV_PROMPT
    if test "$argv[1]" != nondestructive
        functions -e deactivate
    end
end

set -gx VIRTUAL_ENV __RVENV_DIR__
set -gx VIRTUAL_ENV_PROMPT __RVENV_PROMPT__

set -g _OLD_VIRTUAL_PATH $PATH
set -gx PATH $VIRTUAL_ENV/__RVENV_BIN__ $PATH

set -e _OLD_VIRTUAL_PYTHONHOME
if set -q PYTHONHOME
    set -g _OLD_VIRTUAL_PYTHONHOME $PYTHONHOME
    set -e PYTHONHOME
end

if test -z "$VIRTUAL_ENV_DISABLE_PROMPT"; and functions -q fish_prompt
    set -g _OLD_FISH_PROMPT_OVERRIDE $VIRTUAL_ENV
    functions -e _old_fish_prompt
    functions -c fish_prompt _old_fish_prompt

    function _rvenv_status
        return $argv[1]
    end

    function fish_prompt
        # The prompt underneath may show the status of the last command, so it is handed on.
        set -l last $status
        printf '(%s) ' "$VIRTUAL_ENV_PROMPT"
        _rvenv_status $last
        _old_fish_prompt
    end
end
