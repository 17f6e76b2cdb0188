"""`make demo`: three files of accounts become loads, step by step, and the result is checked."""
