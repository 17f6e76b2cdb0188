"""`make demo`: three files of accounts become loads, before one's eyes, and what came of them is checked."""
