"""Left-overs below a named folder are no shards; what is itself named is read whatever it is called."""

import json
import os

import fsspec
import pytest

from ncaudit import NcauditError
from ncaudit.shards.files.sources import find_shards

LEFT_OVER = (
    ".ipynb_checkpoints/0-checkpoint.parquet", "_temporary/0/attempt/1.parquet", "_delta_log/10.checkpoint.parquet",
    "A/.cache/huggingface/x.parquet", "A/__MACOSX/y.parquet", "A/_metadata.parquet", ".z.parquet", "A/B/._0.parquet",
)  # fmt: skip


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(*sources):
    return [shard.name for shard in find_shards([str(source) for source in sources])]


@pytest.mark.parametrize("source", ["", "*", "**", "**/*.parquet", "**/*"])
def test_what_is_hidden_is_no_shard_at_any_depth(tmp_path, source):
    touch(tmp_path, "0.parquet", "A/1.parquet", "A/B/2.parquet", *LEFT_OVER)
    assert names(tmp_path / source) == ["0.parquet", "A/1.parquet", "A/B/2.parquet"]


def test_what_is_hidden_is_no_shard_behind_an_address(tmp_path):
    files = fsspec.filesystem("memory")
    for name in ("0.parquet", "A/1.parquet", *LEFT_OVER):
        files.pipe(f"/hidden/{name}", b"PAR1")
    for source in ("", "/**/*.parquet", "/*"):
        assert names(f"memory://hidden{source}") == ["0.parquet", "A/1.parquet"]
    assert names("memory://hidden/_temporary") == ["0/attempt/1.parquet"]
    files.rm("/hidden", recursive=True)


@pytest.mark.parametrize("name", ["_temporary", ".ipynb_checkpoints", "A/__MACOSX", "_temporary/0"])
def test_what_is_hidden_and_named_is_read(tmp_path, name):
    touch(tmp_path, "0.parquet", *LEFT_OVER)
    inside = [left for left in LEFT_OVER if left.startswith(f"{name}/")]
    assert names(tmp_path / name) == [left.removeprefix(f"{name}/") for left in inside]
    assert names(*(tmp_path / left for left in inside)) == [os.path.basename(left) for left in inside]


def test_a_pattern_that_asks_for_hidden_names_gets_them(tmp_path):
    touch(tmp_path, "0.parquet", *LEFT_OVER)
    assert names(tmp_path / "_*") == ["_delta_log/10.checkpoint.parquet", "_temporary/0/attempt/1.parquet"]
    assert names(tmp_path / "**/_m*.parquet") == ["A/_metadata.parquet"]
    assert names(tmp_path / ".*.parquet") == [".z.parquet"]


def test_partitions_are_not_hidden(tmp_path):
    touch(tmp_path, "year=2024/0.parquet", "_day=1/0.parquet")
    assert names(tmp_path) == ["_day=1/0.parquet", "year=2024/0.parquet"]


def saved(folder, *listed, others=()):
    touch(folder, *listed, *others, "dataset_info.json")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in listed]}))


def test_of_a_saved_dataset_the_files_are_read_that_it_lists(tmp_path):
    data = [f"data-0000{i}-of-00002.arrow" for i in range(2)]
    saved(tmp_path / "train", *data, others=["cache-0a1b.arrow", "cache-0a1b_00000_of_00004.arrow", "tmpxyz.arrow"])
    saved(tmp_path / "test", "data-00000-of-00001.arrow", others=["cache-77.arrow"])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    splits = ["test/data-00000-of-00001.arrow", *(f"train/{name}" for name in data)]
    assert names(tmp_path) == names(tmp_path / "**/*.arrow") == splits
    assert names(tmp_path / "train") == names(tmp_path / "train/*.arrow") == data
    assert names(tmp_path / "test/cache-*.arrow") == names(tmp_path / "test/cache-77.arrow") == ["cache-77.arrow"]


@pytest.mark.parametrize("state", [None, "{", "[]", '{"_data_files": 3}', "{}"])
def test_in_the_cache_results_are_told_by_their_names(tmp_path, state):
    touch(tmp_path, "set-train.arrow", "cache-0a1b2c.arrow", "cache-0a_00001_of_00002.arrow", "cache-of-cats.arrow")
    if state is None:
        assert len(names(tmp_path)) == 4  # nothing says that this is such a folder
        touch(tmp_path, "dataset_info.json")
    else:
        (tmp_path / "state.json").write_text(state)
    assert names(tmp_path) == ["cache-of-cats.arrow", "set-train.arrow"]


def test_a_link_to_a_shard_that_is_there_is_no_other_shard(tmp_path):
    touch(tmp_path, "data/0.parquet", "outside/1.parquet")
    (tmp_path / "data/copy.parquet").symlink_to("0.parquet")
    (tmp_path / "data/more").symlink_to("../outside")
    (tmp_path / "link").symlink_to("data")
    for source in ("data", "link", "data/*", "data/**"):
        assert names(tmp_path / source) == ["0.parquet", "more/1.parquet"], source
    assert names(tmp_path / "data/copy.parquet") == ["copy.parquet"]


def test_of_several_links_to_one_file_elsewhere_the_first_by_its_name_is_read(tmp_path):
    """As where a cache keeps two versions of a dataset that share files."""
    touch(tmp_path, "blobs/0", "blobs/1", "data/new/c.parquet")
    for link, blob in (("new/a", 0), ("old/a", 0), ("old/b", 1)):
        (tmp_path / "data/old").mkdir(exist_ok=True)
        (tmp_path / f"data/{link}.parquet").symlink_to(f"../../blobs/{blob}")
    assert names(tmp_path / "data") == ["new/a.parquet", "new/c.parquet", "old/b.parquet"]
    assert names(tmp_path / "data/old") == ["a.parquet", "b.parquet"]


def test_brackets_in_names_that_are_there_are_no_patterns(tmp_path):
    touch(tmp_path, "set[1]/0[x].parquet", "set[1]/1.parquet", "set1/2.parquet")
    assert names(tmp_path / "set[1]") == names(tmp_path / "set[1]/*.parquet") == ["0[x].parquet", "1.parquet"]
    assert names(tmp_path / "set[1]/0[x].parquet") == ["0[x].parquet"]
    assert names(tmp_path / "set[0-9]") == ["set1/2.parquet"]


def test_braces_stand_for_several_files(tmp_path):
    touch(tmp_path, *(f"{i:05}.tar" for i in range(4)), "{0..1}.tar", "A/x.parquet", "B/x.parquet")
    assert names(tmp_path / "{00001..00003}.tar") == ["00001.tar", "00002.tar", "00003.tar"]
    assert names(tmp_path / "{A,B}/*.parquet") == names(tmp_path / "{A,B}") == ["A/x.parquet", "B/x.parquet"]
    assert names(tmp_path / "{0..1}.tar") == ["{0..1}.tar"]  # a file that is called so
    with pytest.raises(NcauditError, match=r"stands for 5 files, and .*00004.tar does not exist"):
        names(tmp_path / "{00000..00004}.tar")
    for many in ("{0..9999999}.tar", "{0..99999}{0..99999}.tar", "{0..99999999999999999}.tar"):
        with pytest.raises(NcauditError, match="stands for"):
            names(tmp_path / many)


@pytest.mark.parametrize(
    ("files", "said", "fix"),
    [
        (["a.jpg", "b.jpg", "a.txt"], "it holds 2 *.jpg, 1 *.txt", "image_path"),
        (["all.zip"], "it holds 1 *.zip", "unpack"),
        (["_delta_log/1.parquet"], "holds no shard", "name the folder"),
    ],
)
def test_a_folder_without_shards_says_what_it_holds(tmp_path, files, said, fix):
    touch(tmp_path, *files)
    with pytest.raises(NcauditError) as told:
        names(tmp_path)
    assert said in told.value.message
    assert fix in told.value.fix


def test_a_pipe_that_is_named_is_refused_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "b.parquet")
    with pytest.raises(NcauditError, match=r"b.parquet is no regular file, but a named pipe"):
        names(tmp_path / "b.parquet")
