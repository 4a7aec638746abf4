"""The method of Xie, Xiong and Pu (CVPR 2017): torch and nothing else."""
