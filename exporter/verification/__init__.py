"""Decides, by measurement, whether an artifact may enter a bundle."""
