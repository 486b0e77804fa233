"""Words in the columns of results, which some modules write and others read."""

MEASURES = (
    "transformation_std", "sample_std", "normalized_variance", "normalized_distance", "f_statistic", "p_value",
    "local_firing_rate", "global_firing_rate",
)  # fmt: skip

# The strata of all images; the others are classes.
SUMMARY_STRATA = ("all", "stratified")

# The aggregations to one value a channel, and that of maps that are turned back; there is also "spatial".
POOLED, TURNED = ("mean", "max", "sum"), "same_equivariance"

# The two test sets by the `angle` that holds them in the accuracy table.
TESTS = {"unrotated": "0", "rotated": "random"}

# Of a retraining: the kind of what is not one layer, and the schemes of nothing, of everything, and of networks that
# were not retrained but trained so from the start
GROUP, NONE, ALL, FROM_START = "group", "none", "all", "from the start"
