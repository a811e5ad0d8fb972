"""Tasks, one file or one benchmark each; the file name is the YAML name."""
