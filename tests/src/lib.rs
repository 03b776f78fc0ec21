//! Nothing to import: the tests of the whole product are in `product/`.
