// What a person would see to be wrong with a page, as sentences.
() => {
  const faults = []
  const say = (what, text) => faults.push(`${what}: ${(text || "").trim().slice(0, 60)}`)
  const root = document.documentElement
  if (root.scrollWidth > root.clientWidth) say("the page scrolls sideways", `${root.scrollWidth} > ${root.clientWidth}`)

  const within = (inner, outer) =>
    inner.left >= outer.left - 1 && inner.right <= outer.right + 1 &&
    inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1

  // Text keeps within its box; in a box that scrolls it can be scrolled to, on paper it cannot.
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const parent = texts.currentNode.parentElement
    if (!texts.currentNode.data.trim() || parent.closest("svg")) continue
    if (parent.closest(".scroll") && !matchMedia("print").matches) continue
    const box = parent.closest("section, dl div, .answer, .note") || document.body
    const range = document.createRange()
    range.selectNodeContents(texts.currentNode)
    for (const part of range.getClientRects())
      if (part.width && !within(part, box.getBoundingClientRect())) say("text beyond its box", texts.currentNode.data)
  }
  for (const cell of document.querySelectorAll("td")) {
    const range = document.createRange()
    range.selectNodeContents(cell)
    if (range.getClientRects().length > 1) say("a number wraps", cell.textContent)
  }

  for (const drawing of document.querySelectorAll("svg")) {
    const box = drawing.getBoundingClientRect()
    if (!drawing.getAttribute("aria-label")) say("a figure without a description", drawing.closest("section").innerText)
    // The boxes of letters have some air above and below.
    const placed = [...drawing.querySelectorAll("text")].map(text => {
      const {left, right, top, bottom, width, height} = text.getBoundingClientRect()
      const flat = width >= height || text.textContent.length < 2
      const air = {x: flat ? 0 : .2 * width, y: flat ? .2 * height : 0}
      return {text: text.textContent, left: left + air.x, right: right - air.x, top: top + air.y, bottom: bottom - air.y}
    })
    placed.forEach((one, index) => {
      if (!within(one, box)) say("a figure's text is cut", one.text)
      for (const other of placed.slice(index + 1))
        if (Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1 &&
            Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 1)
          say("a figure's texts overlap", `${one.text.trim()} / ${other.text.trim()}`)
    })
    for (const text of matchMedia("print").matches ? [] : drawing.querySelectorAll("text")) {
      const size = parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().d
      if (Math.abs(size || 99) < 7) say(`a figure's text is ${Math.abs(size).toFixed(1)} pixels high`, text.textContent)
    }
  }
  for (const picture of document.querySelectorAll("img")) {
    if (!picture.naturalWidth) say("a picture does not show", picture.alt)
    if (!picture.alt) say("a picture without a description", picture.closest("section").innerText)
  }
  return [...new Set(faults)]
}
