"""Strangers' models, losses, data, loops and files: the table "What works with what".

One file a kind; each situation is a function in it, marked with `situation`.
"""
