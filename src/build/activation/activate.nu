# Activates this virtual environment in nushell:
#
#     overlay use /path/to/environment/bin/activate.nu
#
# `deactivate` undoes it: what is set here belongs to the overlay, and goes with it.

export-env {
    let env_dir = __RVENV_DIR__
    let label = __RVENV_PROMPT__
    let bin_dir = ([$env_dir, __RVENV_BIN__] | path join)
    # Windows calls it `Path`, and the names of nushell's variables have a case.
    let name = (if "Path" in $env { "Path" } else { "PATH" })
    let before = ($env | get $name)
    let before = (if ($before | describe) == "string" { $before | split row (char esep) } else { $before })
    # An active environment gives way: its directory of executables comes first.
    let active = (if "VIRTUAL_ENV" in $env { [$env.VIRTUAL_ENV, __RVENV_BIN__] | path join } else { "" })
    let before = (if ($before | is-not-empty) and ($before | first) == $active { $before | skip 1 } else { $before })
    load-env {
        VIRTUAL_ENV: $env_dir,
        VIRTUAL_ENV_PROMPT: $label,
        $name: ($before | prepend $bin_dir)
    }
    if "PYTHONHOME" in $env {
        hide-env PYTHONHOME
    }
    let shown = (not ("VIRTUAL_ENV_DISABLE_PROMPT" in $env)) or ($env.VIRTUAL_ENV_DISABLE_PROMPT | is-empty)
    if $shown and ("PROMPT_COMMAND" in $env) {
        # A prompt is a text, or a closure that makes one; neither is expanded again.
        let prompt = (if "_OLD_VIRTUAL_PROMPT_COMMAND" in $env { $env._OLD_VIRTUAL_PROMPT_COMMAND } else { $env.PROMPT_COMMAND })
        $env._OLD_VIRTUAL_PROMPT_COMMAND = $prompt
        $env.PROMPT_COMMAND = {||
            let rest = (if ($prompt | describe) == "closure" { do $prompt } else { $prompt })
            ["(", $label, ") ", $rest] | str join
        }
    }
}

export alias deactivate = overlay hide activate
