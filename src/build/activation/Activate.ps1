# Activates this virtual environment in PowerShell:
#
#     . /path/to/environment/bin/Activate.ps1
#
# `deactivate` undoes it. The `_OLD_VIRTUAL_*` names are the ones that other tools' activation
# scripts use, so that they can leave this environment and this one can leave theirs.

# An active environment is left first, by its own rules, before its function is replaced.
if ($env:VIRTUAL_ENV -and (Test-Path -Path Function:deactivate)) {
    deactivate -NonDestructive
}

function global:deactivate ([switch]$NonDestructive) {
    if (Test-Path -Path Env:_OLD_VIRTUAL_PATH) {
        Copy-Item -Path Env:_OLD_VIRTUAL_PATH -Destination Env:PATH
        Remove-Item -Path Env:_OLD_VIRTUAL_PATH
    }
    if (Test-Path -Path Env:_OLD_VIRTUAL_PYTHONHOME) {
        Copy-Item -Path Env:_OLD_VIRTUAL_PYTHONHOME -Destination Env:PYTHONHOME
        Remove-Item -Path Env:_OLD_VIRTUAL_PYTHONHOME
    }
    if (Test-Path -Path Function:_OLD_VIRTUAL_PROMPT) {
        Copy-Item -Path Function:_OLD_VIRTUAL_PROMPT -Destination Function:prompt
        Remove-Item -Path Function:_OLD_VIRTUAL_PROMPT
    }
    if (Test-Path -Path Env:VIRTUAL_ENV) {
        Remove-Item -Path Env:VIRTUAL_ENV
    }
    if (Test-Path -Path Env:VIRTUAL_ENV_PROMPT) {
        Remove-Item -Path Env:VIRTUAL_ENV_PROMPT
    }
    if (Get-Variable -Name _PYTHON_VENV_PROMPT_PREFIX -Scope Global -ErrorAction Ignore) {
        Remove-Variable -Name _PYTHON_VENV_PROMPT_PREFIX -Scope Global -Force
    }
    if (-not $NonDestructive) {
        Remove-Item -Path Function:deactivate
    }
}

# A child process inherits what was saved, but not the function. This leaves the parent's environment.
deactivate -NonDestructive

$env:VIRTUAL_ENV = __RVENV_DIR__
$env:VIRTUAL_ENV_PROMPT = __RVENV_PROMPT__

if (-not $env:VIRTUAL_ENV_DISABLE_PROMPT) {
    # An empty environment variable does not exist on Windows, so the prompt has its own copy.
    New-Variable -Name _PYTHON_VENV_PROMPT_PREFIX -Scope Global -Option ReadOnly -Force -Value __RVENV_PROMPT__

    function global:_OLD_VIRTUAL_PROMPT { '' }
    Copy-Item -Path Function:prompt -Destination Function:_OLD_VIRTUAL_PROMPT

    function global:prompt {
        Write-Host -NoNewline -Object ('(' + $global:_PYTHON_VENV_PROMPT_PREFIX + ') ')
        _OLD_VIRTUAL_PROMPT
    }
}

if (Test-Path -Path Env:PYTHONHOME) {
    Copy-Item -Path Env:PYTHONHOME -Destination Env:_OLD_VIRTUAL_PYTHONHOME
    Remove-Item -Path Env:PYTHONHOME
}

Copy-Item -Path Env:PATH -Destination Env:_OLD_VIRTUAL_PATH
$env:PATH = $env:VIRTUAL_ENV + [System.IO.Path]::DirectorySeparatorChar + __RVENV_BIN__ +
    [System.IO.Path]::PathSeparator + $env:PATH
