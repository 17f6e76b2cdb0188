"""Reads a routes file, the TOML text in which users write routes.

It is rejected as a whole if anything in it is wrong, so that mistakes show when the routes are pushed and not when a
file arrives.

| module | holds |
|---|---|
| `parsing` | from a text to `Routes`: what callers use |
| `keys` | the rule of each key, in one table |
| `check_key` | the rules of the parts of the `check` key |
| `values` | kinds of values that several keys share: text, durations, keys in S3 |
| `one_route` | what the keys of one route require of each other |
| `between_routes` | conflicts between routes: loops, shared lanes, files that another route takes |
| `mistakes` | a mistake, and the words for it |
"""
