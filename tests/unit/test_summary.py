"""What a study comes to: exact means of small tables."""

import numpy as np
import pandas as pd

from rotvar import summary


def variance(**columns: list) -> pd.DataFrame:
    """Layer 0 has units 1, 3 and an infinite one; layer 1 a unit of 5 and a missing one."""
    table = pd.DataFrame(
        {
            "layer": ["conv", "conv", "conv", "fc", "fc"],
            "layer_index": [0, 0, 0, 1, 1],
            "kind": ["convolution"] * 3 + ["fully connected"] * 2,
            "unit": [0, 1, 2, 0, 1],
            "stratum": "all",
            "aggregation": "mean",
            "normalized_variance": np.float32([1, 3, np.inf, 5, np.nan]),
        }
    )
    return table.assign(**columns)


def test_layer_means_are_over_the_finite_units() -> None:
    assert summary.layer_means(variance()).to_dict("list") == {
        "layer_index": [0, 1],
        "layer": ["conv", "fc"],
        "kind": ["convolution", "fully connected"],
        "stratum": ["all", "all"],
        "aggregation": ["mean", "mean"],
        "units": [3, 2],
        "finite": [2, 1],
        "normalized_variance": [2.0, 5.0],
    }


def test_means_are_computed_in_float64() -> None:
    values = np.float32([0.1, 0.2, 0.4, 0.7, np.nan])
    table = summary.global_variance(variance(normalized_variance=values))
    assert table["global_variance"].tolist() == [values[:4].astype("float64").mean()]


def test_the_global_value_is_the_mean_of_units_not_of_layers() -> None:
    table = summary.global_variance(variance(seed=[7] * 5, training=["rotated"] * 5))
    assert table.to_dict("records") == [
        {
            "training": "rotated",
            "seed": 7,
            "stratum": "all",
            "aggregation": "mean",
            "units": 5,
            "finite": 3,
            "global_variance": 3.0,
        }
    ]


def test_a_layer_without_finite_units_has_no_mean() -> None:
    table = summary.layer_means(variance(normalized_variance=[np.inf] * 3 + [np.nan] * 2))
    assert table["normalized_variance"].isna().all()
    assert table["finite"].tolist() == [0, 0]


def test_unused_categories_make_no_rows() -> None:
    table = variance()
    table["stratum"] = pd.Categorical(table["stratum"], ["all", "stratified"])
    assert len(summary.layer_means(table)) == 2


def test_a_row_without_one_of_the_partitions_counts_too() -> None:
    """As rotation's do where they are read together with those of other transformations."""
    both = pd.concat([variance(), variance(transformation="shift", normalized_variance=[6.0] * 5)])
    both["transformation"] = both["transformation"].astype("category")
    values = summary.own_named(summary.global_variance(both.assign(dataset="mnist")))
    assert values.set_index("transformation")["global_variance"].to_dict() == {"rotation": 3, "shift": 6}
    assert summary.layer_means(both)["normalized_variance"].tolist() == [2, 5, 6, 6]


def test_accuracy_weighs_classes_by_their_images() -> None:
    table = pd.DataFrame(
        [("-180", "cat", 10, 0), ("0", "cat", 10, 9), ("0", "dog", 30, 15), ("random", "cat", 10, 1)],
        columns=["angle", "class", "n", "correct"],
    )
    assert summary.accuracy_by_test(table).to_dict("records") == [
        {"test": "unrotated", "n": 40, "accuracy": 0.6},
        {"test": "rotated", "n": 10, "accuracy": 0.1},
    ]


def test_accuracy_by_angle_is_that_of_all_classes_and_without_the_random_angles() -> None:
    table = pd.DataFrame(
        [("-22.5", "cat", 10, 1), ("-22.5", "dog", 30, 15), ("0", "cat", 10, 9), ("random", "cat", 10, 1)],
        columns=["angle", "class", "n", "correct"],
    )
    assert summary.accuracy_by_angle(table.astype({"angle": "category"})).to_dict("records") == [
        {"angle": -22.5, "n": 40, "accuracy": 0.4},
        {"angle": 0.0, "n": 10, "accuracy": 0.9},
    ]
    assert summary.accuracy_by_angle(table, "class").to_dict("records") == [
        {"angle": -22.5, "class": "cat", "n": 10, "accuracy": 0.1},
        {"angle": -22.5, "class": "dog", "n": 30, "accuracy": 0.5},
        {"angle": 0.0, "class": "cat", "n": 10, "accuracy": 0.9},
    ]


def test_over_seeds() -> None:
    table = pd.DataFrame({"model": ["a", "a", "b"], "seed": [0, 1, 0], "n": [5, 5, 5], "accuracy": [1.0, 3.0, 5.0]})
    ours = summary.over_seeds(table, "accuracy")
    assert ours["model"].tolist() == ["a", "b"]
    assert ours["accuracy"].tolist() == [2.0, 5.0]
    assert ours["seeds"].tolist() == [2, 1]
    np.testing.assert_allclose(ours["std"], [2**0.5, np.nan])


def test_a_seed_without_a_value_does_not_count() -> None:
    table = pd.DataFrame({"seed": [0, 1, 2], "global_variance": [1.0, np.nan, 3.0]}).assign(model="a")
    assert summary.over_seeds(table, "global_variance").to_dict("records") == [
        {"model": "a", "global_variance": 2.0, "std": 2**0.5, "seeds": 2}
    ]


def test_rows_that_lack_a_name_are_averaged_too() -> None:
    """Read together, a study's own measurements have no transformation, and others have."""
    table = pd.DataFrame({"transformation": [None, None, "shift"], "seed": [0, 1, 0], "accuracy": [1.0, 3.0, 5.0]})
    assert summary.over_seeds(table, "accuracy")["accuracy"].tolist() == [2.0, 5.0]


def test_networks_that_were_trained_so_from_the_start_stand_beside_retrained_ones() -> None:
    places = {"dataset": "mnist", "model": "vgg16", "seed": 3}
    rows = [("none", "group", 0, 0.3), ("conv", "convolution", 90, 0.5), ("all", "group", 100, 0.8)]
    retraining = pd.DataFrame(rows, columns=["scheme", "kind", "parameters", "accuracy"]).assign(
        **places, training="unrotated", retrained="rotated", test="rotated", n=10, correct=5, layer_index=None
    )
    start = pd.DataFrame(
        [("0", "cat", 4, 4), ("0", "dog", 6, 2), ("random", "cat", 4, 4), ("random", "dog", 6, 5), ("90", "dog", 6, 0)],
        columns=["angle", "class", "n", "correct"],
    ).assign(**places, training="rotated")
    table = summary.beside_from_start(retraining, start)
    assert set(table["training"]) == {"unrotated"}
    assert table["scheme"].tolist() == ["none", "conv", "all", "from the start", "from the start"]
    last = table[table["scheme"] == "from the start"].set_index("test")
    assert last["accuracy"].to_dict() == {"unrotated": 0.6, "rotated": 0.9}
    assert set(last["kind"]) == {"group"}
    assert set(last["parameters"]) == {100}
    assert set(last["n"]) == {10}


def test_the_end_of_a_training_is_the_finished_network_where_no_snapshot_is() -> None:
    places = {
        "dataset": "mnist",
        "model": "vgg16",
        "seed": 3,
        "layer_index": 0,
        "stratum": "all",
        "aggregation": "mean",
    }
    short, long = places | {"training": "short"}, places | {"training": "long"}
    means = pd.DataFrame(
        [{**one, "epoch": epoch, "normalized_variance": 0.1 * epoch} for one in (short, long) for epoch in (0, 2)]
    )
    finished = pd.DataFrame([{**one, "normalized_variance": 0.9} for one in (short, long)])
    history = pd.DataFrame(
        [{**short, "epoch": epoch} for epoch in (1, 2)] + [{**long, "epoch": epoch} for epoch in (1, 2, 3)]
    )
    table = summary.to_the_end(means, finished, history.astype({"training": "category"}))
    values = table.set_index(["training", "epoch"])["normalized_variance"].to_dict()
    assert values == {("short", 0): 0, ("short", 2): 0.2, ("long", 0): 0, ("long", 2): 0.2, ("long", 3): 0.9}


def test_a_studys_own_measurements_say_what_is_in_the_paths_of_others() -> None:
    """As they are read: text is categories, and a column that a path does not have is missing."""
    own = pd.DataFrame({"dataset": pd.Categorical(["mnist", "cifar10"]), "global_variance": [0.1, 0.2]})
    moved = own.assign(measured_on=pd.Categorical(["cifar10", "mnist"]))
    assert summary.own_named(pd.concat([own, moved])).to_dict("list") == {
        "dataset": ["mnist", "cifar10"] * 2,
        "global_variance": [0.1, 0.2] * 2,
        "measured_on": ["mnist", "cifar10", "cifar10", "mnist"],
    }
    shifted = own.assign(transformation=pd.Categorical(["shift", "shift"]))
    assert summary.own_named(pd.concat([own, shifted]))["transformation"].to_list() == ["rotation"] * 2 + ["shift"] * 2
    assert summary.own_named(own).equals(own)
