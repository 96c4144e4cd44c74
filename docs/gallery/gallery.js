// Filters the gallery by what its pictures say of themselves. Without it, all of them are shown.
// The choice is kept in the address: gallery/#kind=implicit.
(() => {
  const gallery = document.getElementById("gallery");
  const figures = [...gallery.querySelectorAll("figure")];
  const form = document.createElement("form");
  const status = document.createElement("output");
  form.id = "gallery-filter";
  status.htmlFor = "gallery";

  for (const facet of ["family", "data", "kind"]) {
    const select = document.createElement("select");
    select.name = facet;
    select.add(new Option("all", ""));
    for (const value of new Set(figures.map((figure) => figure.dataset[facet]))) {
      select.add(new Option(value, value));
    }
    const label = document.createElement("label");
    label.append(facet, " ", select);
    form.append(label);
  }
  form.append(status);
  gallery.before(form);

  const choices = () => [...new FormData(form)].filter(([, value]) => value);

  const show = () => {
    const wanted = choices();
    for (const figure of figures) {
      figure.hidden = wanted.some(([facet, value]) => figure.dataset[facet] !== value);
    }
    const shown = figures.filter((figure) => !figure.hidden).length;
    status.value = `${shown} of ${figures.length}`;
  };

  const read = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const select of form.querySelectorAll("select")) {
      select.value = given.get(select.name) ?? "";
      if (select.selectedIndex < 0) select.value = ""; // an address that names what is not there
    }
    show();
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => {
    history.replaceState(null, "", `#${new URLSearchParams(choices())}`);
    show();
  });
  addEventListener("hashchange", read);
  read();
})();
