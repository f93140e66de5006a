@echo off
rem Activates this virtual environment in cmd:
rem
rem     path\to\environment\Scripts\activate.bat
rem
rem `deactivate` undoes it. The `_OLD_VIRTUAL_*` names are the ones that other tools' activation
rem scripts use, so that they can leave this environment and this one can leave theirs.

rem This file is in UTF-8, and cmd reads it in the code page of the moment.
for /f "tokens=2 delims=:." %%a in ('"%SystemRoot%\System32\chcp.com"') do set "_RVENV_CODEPAGE=%%a"
if defined _RVENV_CODEPAGE "%SystemRoot%\System32\chcp.com" 65001 > nul

rem An active environment is left first.
if defined _OLD_VIRTUAL_PATH set "PATH=%_OLD_VIRTUAL_PATH%"
if defined _OLD_VIRTUAL_PYTHONHOME set "PYTHONHOME=%_OLD_VIRTUAL_PYTHONHOME%"
if defined _OLD_VIRTUAL_PROMPT set "PROMPT=%_OLD_VIRTUAL_PROMPT%"
set _OLD_VIRTUAL_PATH=
set _OLD_VIRTUAL_PYTHONHOME=
set _OLD_VIRTUAL_PROMPT=

set VIRTUAL_ENV=__RVENV_DIR__
set VIRTUAL_ENV_PROMPT=__RVENV_PROMPT__

set "_OLD_VIRTUAL_PATH=%PATH%"
set "PATH=%VIRTUAL_ENV%\__RVENV_BIN__;%PATH%"

if defined PYTHONHOME set "_OLD_VIRTUAL_PYTHONHOME=%PYTHONHOME%"
set PYTHONHOME=

rem Nothing in quotes is executed, and the prompt that is shown has none of its own.
if defined VIRTUAL_ENV_DISABLE_PROMPT goto :prompted
if not defined PROMPT set PROMPT=$P$G
set "_OLD_VIRTUAL_PROMPT=%PROMPT%"
set "PROMPT=(__RVENV_LABEL__) %PROMPT%"
:prompted

if defined _RVENV_CODEPAGE "%SystemRoot%\System32\chcp.com" %_RVENV_CODEPAGE% > nul
set _RVENV_CODEPAGE=
