#![no_main]

pixel_iqn_fuzz::target!("npy");
