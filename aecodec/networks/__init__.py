"""The networks in torch: what is trained, and what runs where torch serves.

``integer`` holds the layers of the entropy path, ``transforms`` the analysis and synthesis, ``model`` the whole.
"""
