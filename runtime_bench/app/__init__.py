"""The Android app as a place to measure: it gets a plan, and what it measured comes back."""
