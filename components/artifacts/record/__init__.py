"""The gradient record: its columns, its writer (for train), its reader, and a command that looks at one."""
