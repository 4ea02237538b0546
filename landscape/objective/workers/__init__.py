"""Who measures: units of work, in this process or in workers."""
