"""Repair pictures before they are encoded, and damage pictures so that a network can learn to repair them.

``damage`` makes noises, blurs and masks, ``fill`` closes holes classically, ``hint`` has the planes that tell the network
what is known of the damage, ``network`` runs it over a large picture, and ``pictures`` repairs one, with its metadata. This
room does not know how the network is trained.
"""
