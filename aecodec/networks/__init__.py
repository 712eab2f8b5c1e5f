"""Hold the model in torch, and export it to a weights folder.

``integer`` has the layers of the entropy path, ``transforms`` the analysis and synthesis, ``model`` the whole. This room
knows nothing of optimisers or of training data.
"""
