"""Settings of all tests: dtypes are chosen, not inherited."""

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
