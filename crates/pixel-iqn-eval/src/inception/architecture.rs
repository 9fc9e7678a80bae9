use pixel_iqn_kernels::Window;

/// A convolution of the network, with batch normalisation and a rectifier after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conv {
    pub outputs: usize,
    pub kernel: [usize; 2],
    pub window: Window,
}

/// What runs the network: the architecture below is written once, against this.
pub(super) trait Engine {
    /// The features of one or more images.
    type Map: Clone;

    fn conv(&self, name: &str, x: &Self::Map, conv: Conv) -> Self::Map;

    /// The largest of each 3x3 window.
    fn max_pool(&self, x: &Self::Map, window: Window) -> Self::Map;

    /// The mean of each 3x3 window around a position, of as many as lie in the image.
    fn avg_pool(&self, x: &Self::Map) -> Self::Map;

    /// Features side by side.
    fn concat(&self, maps: Vec<Self::Map>) -> Self::Map;
}

/// No padding.
fn valid(outputs: usize, kernel: usize, stride: usize) -> Conv {
    Conv {
        outputs,
        kernel: [kernel, kernel],
        window: Window {
            stride,
            padding: [0, 0],
        },
    }
}

/// A convolution that keeps the number of positions.
fn same(outputs: usize, kernel: [usize; 2]) -> Conv {
    Conv {
        outputs,
        kernel,
        window: Window {
            stride: 1,
            padding: kernel.map(|k| k / 2),
        },
    }
}

/// The window of the pools that halve the size.
const HALVE: Window = Window {
    stride: 2,
    padding: [0, 0],
};

/// From `[3, 299, 299]` to `[2048, 8, 8]`: Inception v3 (Szegedy et al. 2016,
/// <https://arxiv.org/abs/1512.00567>) in the variant of the FID of Heusel et al. 2017. It differs
/// from that of the paper in that the average pools do not count the padding, that `Mixed_7c` has a
/// max pool, and that there is no auxiliary classifier.
pub(super) fn inception_v3<E: Engine>(e: &E, x: &E::Map) -> E::Map {
    let x = e.conv("Conv2d_1a_3x3", x, valid(32, 3, 2));
    let x = e.conv("Conv2d_2a_3x3", &x, valid(32, 3, 1));
    let x = e.conv("Conv2d_2b_3x3", &x, same(64, [3, 3]));
    let x = e.max_pool(&x, HALVE);
    let x = e.conv("Conv2d_3b_1x1", &x, valid(80, 1, 1));
    let x = e.conv("Conv2d_4a_3x3", &x, valid(192, 3, 1));
    let x = e.max_pool(&x, HALVE);
    let x = block_a(e, "Mixed_5b", &x, 32);
    let x = block_a(e, "Mixed_5c", &x, 64);
    let x = block_a(e, "Mixed_5d", &x, 64);
    let x = block_b(e, "Mixed_6a", &x);
    let x = block_c(e, "Mixed_6b", &x, 128);
    let x = block_c(e, "Mixed_6c", &x, 160);
    let x = block_c(e, "Mixed_6d", &x, 160);
    let x = block_c(e, "Mixed_6e", &x, 192);
    let x = block_d(e, "Mixed_7a", &x);
    let x = block_e(e, "Mixed_7b", &x, false);
    block_e(e, "Mixed_7c", &x, true)
}

/// The convolutions of a block, by the names of their parts.
fn within<'a, E: Engine>(e: &'a E, block: &'a str) -> impl Fn(&str, &E::Map, Conv) -> E::Map + 'a {
    move |part, x, conv| e.conv(&format!("{block}.{part}"), x, conv)
}

fn block_a<E: Engine>(e: &E, name: &str, x: &E::Map, pool: usize) -> E::Map {
    let conv = within(e, name);
    let one = conv("branch1x1", x, same(64, [1, 1]));
    let five = conv("branch5x5_1", x, same(48, [1, 1]));
    let five = conv("branch5x5_2", &five, same(64, [5, 5]));
    let three = conv("branch3x3dbl_1", x, same(64, [1, 1]));
    let three = conv("branch3x3dbl_2", &three, same(96, [3, 3]));
    let three = conv("branch3x3dbl_3", &three, same(96, [3, 3]));
    let pooled = conv("branch_pool", &e.avg_pool(x), same(pool, [1, 1]));
    e.concat(vec![one, five, three, pooled])
}

fn block_b<E: Engine>(e: &E, name: &str, x: &E::Map) -> E::Map {
    let conv = within(e, name);
    let three = conv("branch3x3", x, valid(384, 3, 2));
    let double = conv("branch3x3dbl_1", x, same(64, [1, 1]));
    let double = conv("branch3x3dbl_2", &double, same(96, [3, 3]));
    let double = conv("branch3x3dbl_3", &double, valid(96, 3, 2));
    e.concat(vec![three, double, e.max_pool(x, HALVE)])
}

fn block_c<E: Engine>(e: &E, name: &str, x: &E::Map, width: usize) -> E::Map {
    let conv = within(e, name);
    let one = conv("branch1x1", x, same(192, [1, 1]));
    let seven = conv("branch7x7_1", x, same(width, [1, 1]));
    let seven = conv("branch7x7_2", &seven, same(width, [1, 7]));
    let seven = conv("branch7x7_3", &seven, same(192, [7, 1]));
    let double = conv("branch7x7dbl_1", x, same(width, [1, 1]));
    let double = conv("branch7x7dbl_2", &double, same(width, [7, 1]));
    let double = conv("branch7x7dbl_3", &double, same(width, [1, 7]));
    let double = conv("branch7x7dbl_4", &double, same(width, [7, 1]));
    let double = conv("branch7x7dbl_5", &double, same(192, [1, 7]));
    let pooled = conv("branch_pool", &e.avg_pool(x), same(192, [1, 1]));
    e.concat(vec![one, seven, double, pooled])
}

fn block_d<E: Engine>(e: &E, name: &str, x: &E::Map) -> E::Map {
    let conv = within(e, name);
    let three = conv("branch3x3_1", x, same(192, [1, 1]));
    let three = conv("branch3x3_2", &three, valid(320, 3, 2));
    let seven = conv("branch7x7x3_1", x, same(192, [1, 1]));
    let seven = conv("branch7x7x3_2", &seven, same(192, [1, 7]));
    let seven = conv("branch7x7x3_3", &seven, same(192, [7, 1]));
    let seven = conv("branch7x7x3_4", &seven, valid(192, 3, 2));
    e.concat(vec![three, seven, e.max_pool(x, HALVE)])
}

fn block_e<E: Engine>(e: &E, name: &str, x: &E::Map, max: bool) -> E::Map {
    let conv = within(e, name);
    let one = conv("branch1x1", x, same(320, [1, 1]));
    let three = conv("branch3x3_1", x, same(384, [1, 1]));
    let three = [
        conv("branch3x3_2a", &three, same(384, [1, 3])),
        conv("branch3x3_2b", &three, same(384, [3, 1])),
    ];
    let double = conv("branch3x3dbl_1", x, same(448, [1, 1]));
    let double = conv("branch3x3dbl_2", &double, same(384, [3, 3]));
    let double = [
        conv("branch3x3dbl_3a", &double, same(384, [1, 3])),
        conv("branch3x3dbl_3b", &double, same(384, [3, 1])),
    ];
    let pooled = if max {
        let around = Window {
            stride: 1,
            padding: [1, 1],
        };
        e.max_pool(x, around)
    } else {
        e.avg_pool(x)
    };
    let pooled = conv("branch_pool", &pooled, same(192, [1, 1]));
    let [three_a, three_b] = three;
    let [double_a, double_b] = double;
    e.concat(vec![one, three_a, three_b, double_a, double_b, pooled])
}
