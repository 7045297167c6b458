"""What every contender exports: column of the file → XDM path."""

COLUMNS = {
    "email": "personalEmail.address",
    "phone": "mobilePhone.number",
    "first_name": "person.name.firstName",
    "last_name": "person.name.lastName",
    "city": "homeAddress.city",
    "state": "homeAddress.stateProvince",
    "postal_code": "homeAddress.postalCode",
    "birthday": "person.birthDayAndMonth",
}
