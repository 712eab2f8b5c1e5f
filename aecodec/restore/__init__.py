"""Repair pictures with the codec's own decoder, and damage pictures so that restoring encoders can be trained.

``damage`` makes noises and masks, ``fill`` closes holes classically, ``hint`` is the fourth channel that tells an encoder
what is known of the damage, and ``pictures`` repairs a picture. This room does not know how encoders are trained.
"""
