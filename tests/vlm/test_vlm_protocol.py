"""One protocol for every VLM: both classes have it, with the same signatures, and what is none is refused."""

import inspect
import subprocess
import sys

import pytest

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.vlm import VLM
from isi_widget.vlm.protocol import MEMBERS, RESULTS, WAYS, VLMLike, check_vlm_like, missing_members
from isi_widget.vlm.remote import RemoteVLM
from isi_widget.vlm.remote.server import Server


@pytest.fixture(scope="module")
def embedded():
    return isi.load_vlm()


@pytest.fixture(scope="module")
def remote():
    server = Server(
        "http://localhost:1/v1",
        "far",
        api_key_env=None,
        timeout=1.0,
        max_retries=0,
        stream=True,
        insecure=False,
    )
    return RemoteVLM(server, concurrency=1, fields={}, extra_body={}, detail=None, code="")


@pytest.mark.parametrize("cls", [VLM, RemoteVLM])
@pytest.mark.parametrize("name", [name for name in MEMBERS if inspect.isfunction(vars(VLMLike)[name])])
def test_a_method_takes_the_arguments_of_the_protocol(cls, name):
    asked = list(inspect.signature(vars(VLMLike)[name]).parameters.values())
    given = inspect.signature(getattr(cls, name)).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in given.values()):
        assert cls is RemoteVLM  # refuses whatever it is given
        return
    assert list(given) == [parameter.name for parameter in asked]
    for parameter in asked:
        assert given[parameter.name].kind == parameter.kind
        if parameter.default is not ...:
            assert given[parameter.name].default == parameter.default


@pytest.mark.parametrize("which", ["embedded", "remote"])
def test_every_member_is_there(which, request):
    vlm = request.getfixturevalue(which)
    assert missing_members(vlm) == ()
    for name in MEMBERS:
        getattr(vlm, name)
    check_vlm_like(vlm)
    assert isinstance(vlm.info()["name"], str) and vlm.take_remarks() == ()


@pytest.mark.parametrize("which", ["embedded", "remote"])
def test_what_is_unavailable_has_a_name_and_a_reason(which, request):
    unavailable = request.getfixturevalue(which).unavailable
    assert set(unavailable) <= {*RESULTS, *WAYS}
    assert all(reason.endswith(".") for reason in unavailable.values())
    assert bool(unavailable) == (which == "remote")


class Wrapped:
    """A VLM by delegation, as people write them."""

    def __init__(self, vlm):
        self._vlm = vlm

    def __getattr__(self, name):
        return getattr(self._vlm, name)


def test_a_wrapper_is_a_vlm_and_what_lacks_a_member_is_not(embedded):
    check_vlm_like(Wrapped(embedded))

    class Half:
        def prefill(self, stimulus):
            raise AssertionError

        @property
        def unavailable(self):
            raise AssertionError("read while it was checked")

    assert {"prefill", "unavailable"}.isdisjoint(missing_members(Half()))
    with pytest.raises(InputError, match=r"A trial needs a VLM, .* got Half, which lacks model_id, "):
        check_vlm_like(Half(), "A trial needs")
    with pytest.raises(InputError, match=r"A trial needs a VLM, as load_vlm\(\) returns it; got str\.$"):
        check_vlm_like("llava", "A trial needs")


def test_the_protocol_needs_no_torch():
    code = "import sys, isi_widget.vlm.protocol; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_likelihood_that_a_server_does_not_send_is_refused_with_its_reason(remote):
    stimulus = isi.datasets.scenes()[0].stimulus()
    with pytest.raises(InputError, match=r"likelihood='sampled'.*with far\. A server sends at most.*'raw'"):
        isi.run_trial(remote, stimulus, likelihood="sampled")
    with pytest.raises(InputError, match=r"method='enumerated'.*with far\. A server shows only text"):
        isi.run_trial(remote, stimulus, method="enumerated")
