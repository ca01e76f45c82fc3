"""Chooses a mix: which method for which layer, so that a model is fast (or small) enough and right.

examples -> sensitivity (what a method does to the labels) and costs (what it takes) -> choice (a
chain of mixes) -> comparing (in PyTorch) and confirming (artifacts) -> report. ``search`` leads.
"""
