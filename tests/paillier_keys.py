"""Fixed primes for tests, as `generate_keypair` makes them: 3 mod 4, gcd(p - 1, q - 1) = 2."""

from __future__ import annotations

from functools import cache

from fedsecure.paillier import PrivateKey

PRIMES = {
    2048: (
        int(
            "c3c18a292473ba5a74bbee8b5a0850c640ad26e48255d31dbe20ea59caf72ce49b47ec2c64c0"
            "b5ff9f112c2704f6bba7c7f7c17335d4b79adb453b7220384d22a5e7a1670a422366fd04fc1b"
            "0410c08e7eb39f82a861a2fbb3ff955fbf97fc3252c602ff56edd573aa9ed12b8fa3ddeea6a6"
            "3905ce7d9e71bc4b6de2a6403a5f",
            16,
        ),
        int(
            "e9728a0226be5d3934159992f1a57156e6fd3eeaec5d84c5ed3c4ce405ddc9cb6906269e240e"
            "fcf993293ecf2b70f9ca8c708dc4ce79a853e1c47f74e185227df5c02cd6839147e277f04b65"
            "a9718d4375e7ae8e0fab83f1627699d118340333c7c042b3af011b660552d3bf33ede9bc83f1"
            "89d519a6ff83ff35a49fa661ef0f",
            16,
        ),
    ),
    3072: (
        int(
            "cdb43dbf9a0a17bb18549345d1daa5111e55a9c200d4915f7de95be7db9919aae1ed2a365099"
            "d497dc506be3c89ba2fe59bc7c224a03400667bf3c3755e33feca1da8ff895ca133793763e07"
            "fb7ae63711f4998379ae6bea492135ff13cd276bb778644e7afce68c75d9d14f252d52a5e9f7"
            "8129c3c9742c4b67d6f91a88e6bbf569e26995c538f93e17a6d6936ef50d83659b028db21523"
            "570a571df309e39dea170d4e15bff712c9ef9368e46ecf6017843e2cd4cbf12e733216189988"
            "d167",
            16,
        ),
        int(
            "dba9f24f443ac4f06fb8202b7817b1a2b79161d2e4991e203d33d78e61938b842c15f1cbf574"
            "268da09fafa1370d6f2719f84f0d39303999426a9c9c08bce1d6e5f3d76aa859f5264fc2eb65"
            "73370d45f13a5edc2aaa2c69e85a652ace6ddca259947b905807545dc280a40d7f17938eb280"
            "802aec175fb63609435677625338f86c1670b0d353920c74b7b01ef9f3eac355c7a74a760f04"
            "cd0c32dbc02e5c5b4b0480deab651369b3a5c00c3a8fc0f41ff449327bb56bc0ec89dc04ae83"
            "9a3f",
            16,
        ),
    ),
    4096: (
        int(
            "f9add773100044473049213f04a1041fa83a9f2d04cadfe0411a66540f1e860ca74135a683cd"
            "fb54b2526d0a33584a47108005e8add5d470e321800371eaf54de8804f3a2f0dc2abb11d2131"
            "321309b3b64850c662d70ed276500c5524bee8986c9fde3b7c7b731e81dfea6f98b5a7cdb0f6"
            "1a44461591098ac1d7739694fe6348785f06ff7853da5895b611e4d909d0c0551b226691ff89"
            "47fd39aae089dfc361d9cd2b99dc7134ea738174c3deea58ac866c3ec414ca5cb8f3c4e4da83"
            "4b48a6a879e5d283b7c1579dbc30601caca00631e6ef63891ca1f9b308c54c677837e797ca84"
            "f52366a38a0e36743223d33ac73e04d3aabd1d0f5f9985781980f2bb",
            16,
        ),
        int(
            "fb83db67e40cf876b5cfcf6fe77f92e4edd9ad5a5e9dbf6ed28ca3c4c4aec424599c292d2381"
            "c7ebbae718201e662665be61ea61912b6533119c7a6f960aaef42de257b1fa72cfd407a10203"
            "0a27f680355e92379c7b3305e6c14d3399fb4010da834a00c538bc18c28e4218772e3b5ac61c"
            "fedb81433b3ae401c8ddde97a70d1b80100c8232ae652335bf37ce13054dfacdd8e0f2e73222"
            "130e6ada5cbe92d15398740346bc5b0902e4ddd498f487e895b2b288e72df9ed97a8c3004ed6"
            "ea37863a17459aaee889ba7cf182c4f66372b5e02ae9300e1ce78d9ed0e7bd624aaa67785a7f"
            "9e900872ad34da5687b2833b01cb5df5101da10f8c7d857e001729d7",
            16,
        ),
    ),
}


@cache
def private_key(bits: int = 2048) -> PrivateKey:
    """The same key for all tests, so that tables are made once."""
    return PrivateKey.from_primes(*PRIMES[bits])
