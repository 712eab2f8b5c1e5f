"""Repair pictures with the codec's own decoder, and damage them so that others learn to.

``damage`` makes noises and masks, ``fill`` closes holes classically, ``hint`` is the fourth channel that tells an encoder
what is known of the damage, and ``pictures`` takes pictures through it all.  This room does not know how encoders are
trained.
"""
