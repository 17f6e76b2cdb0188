"""`anaplan-autoload`: the command line, from an empty workspace to automatic loads.

`commands.COMMANDS` names every command and the function or group that it is, whose module is imported when the command
is invoked. `commands.overview` is the help of the top level, which needs neither typer nor rich. A command is a typer
function that takes `typer.Context`: `context.cli_of` gives it what it works with, which is settings, the AWS session,
CloudWorks and output. It prints through `Cli.out` alone, and ends a failure by raising `output.CommandFailed`; errors
of the function's code and of boto3 it lets pass, as `failures` puts them in words.
"""
