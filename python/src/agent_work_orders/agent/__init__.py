"""Claude Code and the checks as child processes, and what holds them."""
