"""Columns are found by names and types, and what cannot be settled names the flag that settles it."""

import json

import pyarrow as pa
import pytest

from ncaudit.errors import BadTable
from ncaudit.options import DataOptions
from ncaudit.shards.columns import ImageKind, carried_names, find_columns, key_candidates

IMAGE_STRUCT = pa.struct([("path", pa.string()), ("bytes", pa.binary())])  # early releases put path first


def find(*fields, options=None, metadata=None, **more):
    schema = pa.schema(list(fields), metadata=metadata)
    return find_columns(schema, "cc3m/00017.parquet", options or DataOptions(), **more)


@pytest.mark.parametrize("encoding", ["jpg", "png", "webp"])
def test_img2datasets_image_column_is_named_after_its_encoding(encoding):
    found = find(
        ("similarity", pa.float64()), ("caption", pa.string()), ("sha256", pa.binary()), (encoding, pa.binary())
    )
    assert (found.image, found.kind, found.caption) == (encoding, ImageKind.bytes, "caption")


@pytest.mark.parametrize(
    "feature", [{"_type": "Image"}, [{"_type": "Image"}], {"_type": "Sequence", "feature": {"_type": "Image"}}]
)
def test_hugging_face_metadata_decides_which_column_is_the_image(feature):
    kind = IMAGE_STRUCT if isinstance(feature, dict) and feature["_type"] == "Image" else pa.list_(IMAGE_STRUCT)
    metadata = {"huggingface": json.dumps({"info": {"features": {"picture_2": feature, "audio": {"_type": "Audio"}}}})}
    found = find(("audio", IMAGE_STRUCT), ("picture_2", kind), ("text", pa.string()), metadata=metadata)
    assert (found.image, found.kind) == ("picture_2", ImageKind.struct)
    assert found.many_images == pa.types.is_list(kind)


def test_a_struct_of_bytes_and_path_is_an_image_whatever_its_name():
    assert find(("what", IMAGE_STRUCT), ("TEXT", pa.string())).image == "what"


def test_a_text_column_of_paths_is_the_last_resort():
    assert find(("path", pa.string()), ("jpg", pa.binary()), ("text", pa.string())).image == "jpg"
    assert find(("path", pa.large_string()), ("text", pa.string())).kind is ImageKind.path


@pytest.mark.parametrize("name", ["caption", "text", "TEXT", "txt", "title", "alt_text", "top_caption"])
def test_every_caption_name_in_use_is_known(name):
    assert find(("jpg", pa.binary()), (name, pa.string())).caption == name


def test_a_list_of_captions_is_taken_whole():
    assert find(("jpg", pa.binary()), ("captions", pa.list_(pa.string()))).many_captions


def test_a_number_called_caption_is_no_caption():
    with pytest.raises(BadTable, match="has no caption column"):
        find(("jpg", pa.binary()), ("caption", pa.int64()))


def test_a_missing_column_is_told_with_what_was_found_and_the_flag():
    with pytest.raises(BadTable) as caught:
        find(("url", pa.string()), ("jpg", pa.binary()), ("key", pa.string()))
    assert caught.value.message == "cc3m/00017.parquet has no caption column (found: url, jpg, key)"
    assert caught.value.fix == "name it with --caption-column"


def test_two_equally_good_image_columns_are_not_guessed_between():
    with pytest.raises(BadTable, match="several image columns") as caught:
        find(("jpg", pa.binary()), ("png", pa.binary()), ("text", pa.string()))
    assert "--image-column" in caught.value.fix
    named = DataOptions(image_column="png")
    assert find(("jpg", pa.binary()), ("png", pa.binary()), ("text", pa.string()), options=named).image == "png"


@pytest.mark.parametrize(
    ("flag", "column"), [("image_column", "n"), ("caption_column", "n"), ("image_column", "absent")]
)
def test_a_named_column_of_the_wrong_type_or_none_is_refused(flag, column):
    with pytest.raises(BadTable, match=column):
        find(("jpg", pa.binary()), ("text", pa.string()), ("n", pa.int64()), options=DataOptions(**{flag: column}))


def test_light_columns_are_carried_and_heavy_ones_are_not():
    fields = [
        ("jpg", pa.binary()),
        ("text", pa.string()),
        ("url", pa.string()),
        ("png", pa.binary()),
        ("d", pa.float32()),
    ]
    named = DataOptions(image_column="jpg")
    assert find(*fields, ("boxes", pa.list_(pa.float64())), options=named).carried == ("url", "d")
    assert find(*fields, ("boxes", pa.list_(pa.float64())), options=named, carry=["boxes"]).carried == ("boxes",)
    with pytest.raises(BadTable, match="column png holds bytes"):
        find(*fields, options=named, carry=["png"])


def test_carried_names_never_meet_ours_or_each_other():
    names = carried_names(["url", "width", "input_width", "status"])
    assert names == ["url", "input_input_width", "input_width", "input_status"]


def test_twin_columns_are_refused():
    with pytest.raises(BadTable, match="has two columns text"):
        find(("jpg", pa.binary()), ("text", pa.string()), ("text", pa.string()))


def test_img2datasets_key_names_pairs_only_within_one_folder():
    schema = pa.schema([("key", pa.string()), ("SAMPLE_ID", pa.int64()), ("id", pa.float64())])
    assert key_candidates(schema, one_folder=True) == ["SAMPLE_ID", "key"]
    assert key_candidates(schema, one_folder=False) == ["SAMPLE_ID"]


def test_a_status_column_of_the_users_own_is_no_download_status():
    assert find(("jpg", pa.binary()), ("text", pa.string()), ("status", pa.string())).status is None
    assert find(
        ("jpg", pa.binary()), ("text", pa.string()), ("status", pa.string()), ("error_message", pa.null())
    ).status
