-- Media are held at the most they can be. Where the credits do not cover that, a call may be held at their expected size.

alter type tollgate.hold_request add attribute uncertain numeric;
comment on column tollgate.hold_request.uncertain is 'Part of input and of input_bytes: what media may cost above their expected size. Where the credits of the payer do not cover all, the call is held without it.';
comment on column tollgate.ledger_holds.margin_credits is 'What it may still need: every byte of the input a token, unless it is held like that, the next step of a stream that grows, and media that were held below the most they can be.';
