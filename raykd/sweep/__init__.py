"""Plans a sweep, runs it, confirms and resumes it."""
