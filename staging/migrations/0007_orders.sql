-- The bank remembers with an order that its payer gave up: it has signed that the order failed, and books it no more.
ALTER TABLE payment_orders ADD given_up boolean NOT NULL DEFAULT false;
UPDATE payment_orders SET given_up = true WHERE state = 'failed';
ALTER TABLE payment_orders ADD CHECK (NOT (given_up AND state = 'paid'));

-- How many orders a fee has is asked for each new one, and a dossier that goes takes them with it.
CREATE INDEX payment_orders_dossier ON payment_orders (code, fee);
