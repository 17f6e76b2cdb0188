"""`probe`: does a live CloudWorks answer as this project assumes?

`kinds` names what a JSON value is without showing it, `facts` compares, `assumptions` holds what the code relies on,
`asking` sends requests, `questions` and `live` ask, `report` writes it down and `command` is the command.

No value of the tenant leaves these modules: no name, id, text, row or address. A fact holds kinds, statuses, numbers,
names of JSON fields, and words that the assumptions already know.
"""
