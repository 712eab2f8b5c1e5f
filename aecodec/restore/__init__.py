"""Restoration on the codec's own decoder: ``damage`` makes noises and masks, ``fill`` closes holes classically, ``hint`` is
the fourth channel that tells an encoder what is known of the damage, and ``restore`` takes pictures through it all.
"""
