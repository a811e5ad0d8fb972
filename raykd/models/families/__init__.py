"""Model families, one file each; the file name is the Hugging Face model type."""
