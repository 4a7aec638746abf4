"""The method of Xie, Xiong and Pu (CVPR 2017), with the networks it is for.

What may enter: mathematics over torch's tensors and modules. What may not: anything but
torch. Read `orthonormality.py` and `modulation.py` first.
"""
