"""What SAM makes of a template and an env file, by SAM's own code: run in SAM's environment, prints JSON.

`python sam_resolves.py TEMPLATE ENV_FILE`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider


def main(template: str, variables: str) -> None:
    """Print what the container of `sam local invoke Autoload` would be made with."""
    stacks, _ = SamLocalStackProvider.get_stacks(template)
    provider = SamFunctionProvider(stacks)
    folder = str(Path(template).parent)
    values = json.loads(Path(variables).read_text())
    runner = LocalLambdaRunner(None, provider, folder, folder, env_vars_values=values)
    config = runner.get_invoke_config(runner.get_function("Autoload"))
    told = {
        "environment": config.env_vars.resolve(),
        "architecture": config.architecture,
        "handler": config.handler,
        "timeout": config.timeout,
        "code": config.code_abs_path,
        "durable": config.durable_config,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
