from orthotune.study.data import data_of
from orthotune.study.study_file import read_study


def test_of_a_joint_choice_the_most_data_that_a_trial_wants_are_looked_for(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(
        "space:\n  size:\n    type: joint\n    choices:\n"
        "      - {data.name: digits, data.num_train: 200, data.batch_size: 32}\n"
        "      - {data.name: synthetic, data.num_train: 100, data.batch_size: 64}\n"
        "constraints: [data.batch_size >= 33]\n"
    )
    found = data_of(read_study(str(path)))
    assert [config.name for config in found] == ["digits", "synthetic"]
    assert {(config.num_train, config.batch_size) for config in found} == {(200, 64)}
