"""`python -m anaplan_autoload_cli`: the same as `anaplan-autoload`."""

from anaplan_autoload_cli.app import main

if __name__ == "__main__":
    main()
