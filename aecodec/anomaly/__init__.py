"""Find the pictures, and the places in them, that do not belong with good ones. This room knows no flags.

``model.py`` is what a caller opens, ``method.py`` says what a method is, and each method has a file of its own.
"""
