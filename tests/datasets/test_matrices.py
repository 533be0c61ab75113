"""Descriptions of distance matrices."""

from __future__ import annotations

from datasets.matrices import MatricesProvider, MatricesSpec


def test_training_matrices_of_another_seed_leave_the_other_splits_and_old_descriptions_unchanged() -> None:
    spec = MatricesSpec(seed=3)
    assert spec.model_dump() == {"kind": "matrices", "seed": 3}
    fresh = spec.with_train_seed(7)
    assert [fresh.seed_of_split(split) for split in ("train", "validate", "test")] == [7, 3, 3]
    assert MatricesSpec.model_validate(fresh.model_dump()) == fresh
    before, after = MatricesProvider(spec), MatricesProvider(spec).with_spec(fresh)
    assert before.fingerprint != after.fingerprint
    changed = [one.name for one, other in zip(before.list_splits(), after.list_splits(), strict=True) if one != other]
    assert changed == ["train"]
