"""The flow-based kernel prior (FKP, Liang et al. 2021): a normalising flow between kernels and Gaussian codes.

`model` is the flow in plain jax.numpy, which solvers run; `bijectors` is the same flow in distrax, which training runs
(nothing else imports distrax); `weights` reads and writes trained flows and knows the shipped ones.
"""
