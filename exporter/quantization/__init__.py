"""What is common to the targets: schemes by name, and what each of them computes."""
