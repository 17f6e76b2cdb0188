"""`init`: from five answers to the first load, with the next command at each point.

`answers` checks what is answered, `questions` asks, `config` and `first_route` write files, `progress` looks at what is
done, `steps` says what is next, and `command` is the command.
"""
