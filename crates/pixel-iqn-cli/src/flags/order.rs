use pixel_iqn::Order;

/// Reads the index of a generation order, from 0 to 7.
pub fn parse_order(text: &str) -> Result<Order, &'static str> {
    let order = text.parse().ok().and_then(Order::new);
    order.ok_or(
        "give an order from 0 to 7: 0 is raster order; 4 transposes the image, and then 2 \
                 turns its rows around and 1 its columns",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_its_index() {
        assert_eq!(parse_order("7").map(Order::index), Ok(7));
        for wrong in ["8", "-1", "", "raster"] {
            assert!(parse_order(wrong).is_err(), "{wrong}");
        }
    }
}
