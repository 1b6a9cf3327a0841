throw new Error("a release that ends before it begins");
